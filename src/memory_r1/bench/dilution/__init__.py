"""Big banks: the same questions while other people's memories pile up beside those that they are about."""
