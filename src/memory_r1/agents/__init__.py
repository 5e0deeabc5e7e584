"""Who decides: extractor, Memory Manager and Answer Agent."""
