"""The page of `eva live`: live mirror and muscle panel in a browser on this computer."""
