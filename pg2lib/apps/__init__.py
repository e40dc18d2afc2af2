"""Applications for people; nothing in the other rooms imports them."""
