"""What happens to an invite, who may see what, and who stands where."""
