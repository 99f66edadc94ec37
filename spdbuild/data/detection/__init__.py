"""Images with boxes: read from any format into one table, checked, converted, augmented, and given out in batches.

table.py                        what every reader makes and everything else reads
coco_json, yolo_txt, voc_xml    one format each, read and written
convert, check, statistics      what `spdbuild data` does with a table
pixels, store                   one image at the training size, and memory or a file that keeps all of them
options, geometry, scene,       augmentation: its options, boxes under a matrix, images on a canvas,
colour, pasting, augment        hue, copied objects, and all of it in order
loader, batch, gallery          batches for training and evaluation, and how they look
"""
