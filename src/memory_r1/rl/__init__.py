"""How the agents learn: episodes, rewards, PPO and GRPO in plain PyTorch."""
