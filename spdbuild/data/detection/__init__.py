"""Images with boxes: read from any format into one table, checked, converted, augmented and batched.

table, outlines, findings       what every reader makes and everything else reads; the polygons in it; what is wrong
dataset, annotated              what a registered data set is, and what those of files have in common
coco_json, yolo_txt, voc_xml    one format each, read and written; yolo_yaml: the dataset YAML of YOLO's files
coco_fields, ids                what the entries of a COCO file must hold, and ids for images that have none
convert, check, statistics      what `spdbuild data` does with tables
tiles                           large images as tiles, which are a table again
pixels, store                   one image at the training size, and memory or a file that keeps all of them
labels                          the objects that an image shows
options, geometry, scene,       augmentation: its options, boxes under a matrix, images on a canvas,
pasting, augment, raster        copied objects, all of it in order, and the library that moves the pixels
loader, fetch, batch, gallery   batches for training and evaluation, the work on one, and how they look
"""
