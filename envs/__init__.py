"""Gymnasium environments over any face. `import eva_sim` registers them."""
