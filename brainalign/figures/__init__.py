"""Figures: tables into pictures; they compute nothing."""
