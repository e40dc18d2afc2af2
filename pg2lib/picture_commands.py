"""The commands that draw, detect or publish; training and scoring need no matplotlib."""

import re
from dataclasses import replace

from pg2lib import models
from pg2lib.apps.photo import detect_keypoints as keypoint_rcnn
from pg2lib.apps.photo import generate as photos
from pg2lib.apps.photo import maps as photo_maps
from pg2lib.apps.photo.photo import check_belongs, from_copy, missing_legs
from pg2lib.apps.photo.sequence import check_count, check_rate, in_between
from pg2lib.commands import log, study_of
from pg2lib.core.files import UserError
from pg2lib.core.names import checked
from pg2lib.core.progress import reporting
from pg2lib.data import folder as own_data
from pg2lib.data.framing import read_image
from pg2lib.results import figures, provenance
from pg2lib.results.report import write_report
from pg2lib.training import checkpoints, extras, onnx_graph, weights
from pg2lib.workflow import pipeline, shipped
from pg2lib.workflow import run_store as runs
from pg2lib.workflow.card import write_card, write_figure4, write_hub_page


def data_keypoints(options):
    study = study_of(options, "folder")
    device, source = pipeline.device_of(study), pipeline.source_folder(study)
    places = own_data.without_poses(source)
    if not places:
        return log(f"every image of {source} has its keypoints")
    weights_file = keypoint_rcnn.require_weights(options.keypoint_rcnn)
    network = keypoint_rcnn.load_network(weights_file, device)
    with reporting("keypoints") as progress:
        done = keypoint_rcnn.detect_folder(source, places, network, device, progress)
    log(done)


def data_show(options):
    study = study_of(options)
    if not 1 <= options.count <= 100:
        raise UserError(f"--count {options.count} is out of range; choose from 1 to 100")
    dataset = pipeline.data(study)
    chosen = figures.select_examples(dataset, options.count, study.seed)
    figure = figures.pair_sheet(dataset, chosen, pipeline.MASK_VARIANT)
    provenance.save(figure, options.out, pipeline.facts(study, "pg2 data show"))
    log(f"wrote {options.out}")


def one_seed(study):
    """Raise UserError for a study of several seeds, of which only the first would count."""
    if len(study.seeds) > 1:
        raise UserError(f"--seeds {','.join(map(str, study.seeds))} names several; choose one")


def generate(options):
    study = study_of(options)
    one_seed(study)
    device = pipeline.device_of(study)
    out = photos.check_folder(options.out)
    check_rate(options.fps)
    check_count(options.between)
    frame, copy = options.frame, options.pose_frame
    frame = None if frame is None else parse_frame(frame)
    copy = None if copy is None else parse_frame(copy, "--pose-frame")
    if copy and not options.pose:
        raise UserError("--pose-frame is about the picture of --pose; give both, or neither")
    image = read_image(options.image)
    row, config, dataset, generate_fn = generator(options, study, device)
    size, own_map = (config.height, config.width), photo_map(options, row, config, image)
    log(photos.expectation(size, dataset))
    posed = "condition_pose" in models.find(row).needs  # then download the detector if needed

    detector = keypoint_rcnn.detector(options.keypoint_rcnn, device)
    poses, about = photos.read_poses(options.target_pose, options.name, detector)
    if options.between and len(poses) == 1:
        raise UserError("--between is for a sequence of poses; leave it out, or name a folder")
    targets, done = photos.place(poses, size, frame, options.target_pose)
    log(f"pose: {about}; {done}")
    if note := missing_legs(poses[0]):
        log(f"note: {note}")
    pose = None
    if options.pose:
        pose, _ = photos.read_pose(options.pose, options.image, detector)
        if copy:
            pose = from_copy(pose, copy, image.shape[:2], options.pose)
        else:
            check_belongs(pose, image.shape[:2], options.pose)
    elif posed:
        keypoint_rcnn.require_pose(row, options.image, options.keypoint_rcnn)
    elif keypoint_rcnn.find_weights(options.keypoint_rcnn) is None:
        detector = None  # not worth a download: the pose only improves the crop
    how = size, pose, options.fit, options.padding, detector, options.image, None, posed
    image, pose, done = photos.condition_photo(image, *how)
    log(f"photo: {done}")
    if needed := extras.names(models.find(row)):
        own_map = None if own_map is None else photo_maps.framed(own_map, config.labels, *how)
        found = photo_maps.of_photo(models.find(row), config.labels, pose, own_map, size)
        log(f"parsing map: {found[1]}")
    # After all checks of the input, since a row may have to be trained.
    if not generate_fn:
        pipeline.train(replace(study, device="cpu" if device == "mps" else study.device), row, log)
        generate_fn = pipeline.generate_fn(study, row, log)
    generate_fn = photo_maps.with_map(generate_fn, found[0]) if needed else generate_fn
    poses, fps = in_between(targets, options.between), options.fps
    for path in photos.generate_and_write(generate_fn, image, poses, out, fps, device, pose):
        log(f"wrote {path}")


def generator(options, study, device):
    """(row, its configuration, its data set, its function or None until trained)."""
    if options.weights and options.row:
        raise UserError("--weights already names the row; leave out --row")
    row = bundled(options, study)
    if row or options.weights:
        file = shipped.weights_file(row, study.dataset) if row else of_folder(options.weights)
        published, generate_fn = weights.load(file, device, row)
        log(f"weights: {weights.about(published)}")
        return published.row, published.configs[published.row], published.dataset, generate_fn
    row = checked("row", options.row or models.rows()[-1], models.painted())
    return row, pipeline.method_config(study, row), study.data_name, None


def bundled(options, study):
    """The row whose bundled generator --weights names or, without it, serves because the options
    name no training; else None."""
    if options.weights:
        row = None if options.weights.exists() else str(options.weights)
    elif options.profile or study.overrides or study.seeds != (0,) or not study.setting.drawn:
        row = None
    else:
        row = options.row or models.rows()[-1]
    return row if row in shipped.rows(study.dataset) else None


def of_folder(path):
    """A file of weights, or the only one of a folder that `pg2 export --card` wrote."""
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if len(files) != 1:
        raise UserError(f"{path} is a folder with {len(files)} .safetensors files; name one file")
    return files[0]


def photo_map(options, row, config, image):
    """The parsing map of the photo uint8 (H, W, 3) that --photo-parsing names, or None."""
    if not options.photo_parsing:
        return None
    if not extras.names(models.find(row)):
        raise UserError(f"{row} needs no parsing map; leave out {photo_maps.OPTION}")
    return photo_maps.read(options.photo_parsing, config.labels, image.shape[:2])


def export(options):
    study, suffix = study_of(options), onnx_graph.SUFFIX if options.onnx else weights.SUFFIX
    if options.onnx and options.card:
        raise UserError("--card is about a .safetensors file; leave out --onnx")
    row = checked("row", options.row, [*models.painted(), "all"])
    one_seed(study)
    files = {row: options.out}
    if options.card or row == "all":
        rows = models.rows() if row == "all" else [row]
        if options.small and not options.onnx:  # a row that another refines lies in its file
            held = {models.find(name).start for name in rows}
            rows = [name for name in rows if name not in held]
        folder = photos.check_folder(options.out)
        files = {row: folder / f"{row}{suffix}" for row in rows}
    for row, out in files.items():
        weights.check_suffix(out, suffix)
        if options.onnx:
            onnx_graph.write(shipped.onnx(study, row, log), out)
            log(f"wrote {out} ({out.stat().st_size / 1e6:.2f} MB)")
            continue
        pipeline.train(study, row, log)
        names = pipeline.chains([row])
        steps = {name: pipeline.train_step(study, name) for name in names}
        trained = {n: runs.checked(step, checkpoints.WEIGHTS) for n, step in steps.items()}
        own = {name: pipeline.method_config(study, name) for name in names}
        keys = {name: step.key for name, step in steps.items()}
        published = weights.Published(row, own, study.data_name, study.changes, study.seed, keys)
        weights.export(out, trained, published, options.small)
        log(f"wrote {out} ({out.stat().st_size / 1e6:.2f} MB)")
    if options.card:
        log(f"wrote {write_hub_page(study, files, options.out)}")


def card(options):
    study = study_of(options)
    rows = shipped.rows(study.dataset)
    files = {row: shipped.weights_file(row, study.dataset) for row in rows}
    among = runs.shipped_figures() if shipped.ships(study) else None  # bundled with the files
    folder = runs.named_folder(study.name, among)
    written = [] if options.figure else write_card(study, files, folder, log)
    for path in (*written, write_figure4(study, files, folder)):
        log(f"wrote {path}")


def report(options):
    out = options.out or runs.project() / "report"
    comparison = runs.project() / "docs" / "paper-vs-code.md"
    log(f"reading the results in {runs.figures()} and {runs.shipped_figures()}")
    log(f"wrote {write_report(runs.figures(), out, comparison, runs.shipped_figures())[0]}")


def parse_frame(text: str, option: str = "--frame") -> tuple[int, int]:
    """'64x128' (width x height) -> (128, 64)."""
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(re.fullmatch(r"0*[1-9][0-9]{0,4}", side) for side in sides):
        raise UserError(f"{option} {text} is not WIDTHxHEIGHT; write for example 64x128")
    return int(sides[1]), int(sides[0])
