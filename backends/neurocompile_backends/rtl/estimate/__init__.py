"""What a design takes of its device, and how many lanes its cores get."""
