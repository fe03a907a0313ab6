"""Evaluation of predicted commands."""
