"""Every speed that the README quotes, one command each: `make bench NAME=signatures`; without NAME all of them."""
