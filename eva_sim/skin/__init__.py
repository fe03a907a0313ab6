"""The soft skin: a thin silicone shell. So far its elastic energy; the solver comes next."""
