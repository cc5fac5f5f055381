"""HTTP/1.1: connections, limits, answers; what is asked is none of its business."""
