"""What a model's file may hold: read and checked before anything in it is made."""
