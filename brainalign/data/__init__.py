"""Stimuli, responses and recordings: the ground that both wings stand on."""
