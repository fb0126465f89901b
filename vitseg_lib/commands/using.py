"""`vitseg predict`, `vitseg convert` and `vitseg export`."""

import io
from argparse import Namespace
from pathlib import Path

from vitseg_lib import files
from vitseg_lib.commands.common import chosen_recipe, classes_for, load_model, machine
from vitseg_lib.files import InputError


def predict(options: Namespace) -> None:
    """Label photographs; NAME.png holds the labels as ADE20K's files do, NAME_overlay.png shows them."""
    from PIL import Image
    from tqdm.auto import tqdm

    from vitseg_lib.data.ade20k import colour_labels, write_labels
    from vitseg_lib.data.photos import image_size, read_image, write_image
    from vitseg_lib.engine import inference

    outputs = [options.out / f"{path.stem}.png" for path in options.images]
    overlays = [path.with_name(f"{path.stem}_overlay.png") for path in outputs]
    for path in outputs + overlays:
        if (outputs + overlays).count(path) > 1:
            raise InputError(f"{path} would be written twice: give the images different names.")
        files.refuse_existing(path, options.overwrite)
    for source in options.images:
        image_size(source)  # what is missing or no image is said before anything is computed
    recipe = chosen_recipe(options.recipe)
    classes = classes_for(options.weights, options.classes)
    model = load_model(recipe, options.weights, num_classes=len(classes))
    model.to(machine(options)["device"])
    mode = "ms_flip" if options.ms_flip else "whole"
    jobs = zip(options.images, outputs, overlays, strict=True)
    for source, output, overlay in tqdm(list(jobs), unit="image", disable=options.no_progress):
        image = read_image(source)
        labels = inference.predict(model, image, recipe, mode=mode)
        write_labels(output, labels, classes, overwrite=options.overwrite)
        blend = Image.blend(Image.fromarray(image), Image.fromarray(colour_labels(labels, classes)), 0.55)
        write_image(blend, overlay, overwrite=options.overwrite)
    print(f"{len(outputs)} predicted into {options.out}")


def convert(options: Namespace) -> None:
    """Write weights under mmsegmentation's or timm's names, or under ours in half precision."""
    import torch
    from safetensors.torch import save as to_bytes

    from vitseg_lib.model import weights

    recipe = chosen_recipe(options.recipe)
    classes = classes_for(options.weights, None)
    model = load_model(recipe, options.weights, num_classes=len(classes))
    suffix = "pth" if options.to == "mmseg" else "safetensors"
    path = options.out or Path(f"{recipe.name}_{options.to}.{suffix}")
    files.refuse_existing(path)
    if options.to == "half":
        weights.save(model, path, dtype=torch.float16, recipe=recipe.name, classes=classes.as_dict())
    elif options.to == "timm":
        state = {key: value.contiguous() for key, value in weights.to_timm(model.encoder).items()}
        with files.atomic_path(path, overwrite=False) as temporary:
            temporary.write_bytes(to_bytes(state))
    else:
        state = {"meta": {"CLASSES": list(classes.names)}, "state_dict": weights.to_mmseg(model)}
        encoded = io.BytesIO()  # because torch.save may take the whole program down on a full disk
        torch.save(state, encoded)
        with files.atomic_path(path, overwrite=False) as temporary:
            temporary.write_bytes(encoded.getbuffer())
    print(f"wrote {path}")


def export(options: Namespace) -> None:
    """Write the model for other programs, and say how exactly it computes the same."""
    from vitseg_lib.engine import export as exporting

    recipe = chosen_recipe(options.recipe)
    path = options.out or Path(f"{recipe.name}.{'onnx' if options.to == 'onnx' else 'pt2'}")
    files.refuse_existing(path)
    model = load_model(recipe, options.weights, num_classes=len(classes_for(options.weights, None)))
    write = exporting.export_onnx if options.to == "onnx" else exporting.export_torch
    difference = write(model, path)
    print(f"wrote {path}: images of any size; it differs from the model by {difference:.0e} standard deviations")
