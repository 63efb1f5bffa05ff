"""What training reads, backbone embeddings, and the reference distributions for drift."""
