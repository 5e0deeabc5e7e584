"""The main job in one run: a conversation goes in, a bank grows, questions come out answered and scored."""
