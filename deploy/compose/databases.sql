-- Once, when the volume of PostgreSQL is empty: a role a database, which is shut to all others.
\getenv dagster MLOPS_DAGSTER_PASSWORD
\getenv mlflow MLOPS_MLFLOW_PASSWORD
\getenv platform MLOPS_PLATFORM_PASSWORD
CREATE ROLE dagster LOGIN PASSWORD :'dagster';
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow';
CREATE ROLE platform LOGIN PASSWORD :'platform';
CREATE DATABASE dagster OWNER dagster;
CREATE DATABASE mlflow OWNER mlflow;
CREATE DATABASE platform OWNER platform;
REVOKE ALL ON DATABASE dagster, mlflow, platform, postgres, template1, :"DBNAME" FROM PUBLIC;
