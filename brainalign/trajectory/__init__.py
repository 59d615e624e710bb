"""What happens over learning: stages of curves, how weights move, and the paths representations take."""
