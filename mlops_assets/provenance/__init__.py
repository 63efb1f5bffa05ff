"""Content hashes, Merkle trees and provenance records: the ground under every receipt."""
