"""Who made an image and of what: signed with a key, found beside the image, verified before anything runs."""
