"""What a reconstruction is worth: scores, labels, speakers."""
