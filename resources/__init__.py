"""Where things live: clients of the stores, databases and logs that the platform keeps."""
