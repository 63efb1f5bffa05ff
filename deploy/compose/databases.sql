-- Once, when the volume of PostgreSQL is empty.
CREATE DATABASE dagster;
CREATE DATABASE mlflow;
CREATE DATABASE platform;
