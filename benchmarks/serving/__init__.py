"""The service against named peers: same model, same images, same machine, interleaved."""
