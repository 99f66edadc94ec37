"""Pictures of numbers, drawn with Pillow alone: lines over epochs, recall or score, and matrices of counts."""
