"""Hours of mixed traffic on a served bento, watched for what grows."""
