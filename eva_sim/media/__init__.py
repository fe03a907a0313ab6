"""Pictures in and out: clips, still pictures, cameras, JPEG and video."""
