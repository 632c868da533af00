"""How models are made, compared, promoted and watched."""
