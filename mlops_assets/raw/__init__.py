"""Raw images: immutable snapshots of what a source holds."""
