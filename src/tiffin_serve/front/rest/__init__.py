"""What the server answers on which path of its HTTP ports."""
