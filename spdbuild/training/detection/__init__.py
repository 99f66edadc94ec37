"""What training, evaluating and predicting mean for detectors; `tasks/detection.py` puts it together.

options        sections of a recipe's `task`
images         data as the engine takes it
head           the detection head of a network, and its anchors fitted to data
criterion      loss as the engine takes it
meter          detections gathered and judged
tiled_meter    the same for detections in tiles of images
charts         curves of an evaluation
samples        what is detected in pictures, beside what is annotated there
stages         how long each step from file to boxes takes
seeing         detections in one picture, whole or in tiles
video          pictures of a video
"""
