"""Drawn people against hand-computed values, slow references and the rules of anatomy."""
import numpy as np
import pytest

from pg2lib.core.files import UserError
from pg2lib.data import synthetic as people
from pg2lib.data.keypoints import torso_found
from pg2lib.data.synthetic import (
    body,
    camera,
    draw,
    draw_fashion,
    dress,
    paint,
    render,
    scene,
    wardrobe,
)

VIEWS = [(i, v) for i in range(12) for v in range(8)]


@pytest.fixture(scope="module")
def drawn():
    return [draw(i, v) for i, v in VIEWS]


@pytest.fixture(scope="module")
def modelled():
    """Views at a quarter of DeepFashion's size: the model stands in columns 10 to 53 of 64."""
    return [draw_fashion(i, v, height=64, width=64) for i in range(16) for v in range(10)]


def sphere(centre, radius, zone=0):
    return render.Part(np.eye(3), np.array(centre, float), (1, 1, 1), radius, radius, 0.0,
                       (zone, 0.0, 1.0))


# --- ray casting --------------------------------------------------------------------------------

def march(distance, direction, far=12.0):
    """Depth at which a ray from the origin meets a signed distance field; inf if it misses."""
    t, speed = 0.0, np.linalg.norm(direction)
    for _ in range(4000):
        d = distance(t * direction)
        if d < 1e-7:
            return t
        t += d / speed
        if t > far:
            break
    return np.inf


def distance_to_round_cone(axes, origin, r0, r1, length):
    """The hull of two spheres as a dense union of spheres between them: slow, and independent."""
    k = np.linspace(0, 1, 2001)

    def distance(point):
        p = axes.T @ (point - origin)
        return (np.hypot(np.hypot(p[0], p[2]), p[1] - k * length) - (r0 + k * (r1 - r0))).min()

    return distance


def test_round_cone_depth_matches_marching():
    rng = np.random.default_rng(3)
    hit = 0
    for _ in range(12):
        axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        origin = np.array((0, 0, 5.0)) + rng.normal(0, .1, 3)
        r0, r1, length = rng.uniform(.1, .4), rng.uniform(.1, .4), rng.uniform(.5, 1.2)
        xs, ys = np.linspace(-.13, .13, 5), np.linspace(.13, -.13, 5)
        with np.errstate(invalid="ignore"):         # sqrt of rays that miss
            got = render.round_cone_depth(
                axes.T.astype(np.float32), (-axes.T @ origin).astype(np.float32), r0, r1, length,
                xs[None].astype(np.float32), ys[:, None].astype(np.float32))
        cone = distance_to_round_cone(axes, origin, r0, r1, length)
        for i, y in enumerate(ys):
            for j, x in enumerate(xs):
                want = march(cone, np.array((x, y, 1.0)))
                if np.isfinite(want):
                    hit += 1
                    assert got[i, j] == pytest.approx(want, abs=4e-3)
                else:
                    assert not got[i, j] < 12
    assert 40 < hit < 290


def test_nearer_sphere_hides_the_farther():
    hits = render.cast([sphere((0, 0, 3), .5), sphere((0, 0, 5), 1.6)],
                       np.array([-.3, 0.0]), np.array([0.0]))
    # The middle ray meets the small sphere at 3 - 0.5; the ray (-0.3, 0, 1) passes it at a
    # distance of 3 * sin(atan(0.3)) = 0.86 > 0.5 and meets only the big one.
    assert hits.part.tolist() == [1, 0]
    assert hits.depth[0, 1] == pytest.approx(2.5, abs=1e-5)
    d = np.array((-.3, 0, 1)) / np.hypot(.3, 1)
    along = 5 * d[2]
    want = (along - np.sqrt(along ** 2 - (25 - 1.6 ** 2))) * d[2]
    assert hits.depth[0, 0] == pytest.approx(want, abs=1e-4)
    assert np.allclose(hits.normal[1], (0, 0, -1), atol=1e-5)


def test_box_depth_and_normal():
    box = render.Part(np.eye(3), np.array((0, 0, 4.0)), (.5, .5, 1.0), 1, 1, 0.0, (0, 0, 1),
                      box=True)
    hits = render.cast([box], np.array([-.2, 0.0]), np.array([0.0]))
    assert hits.depth.ravel().tolist() == [np.inf, 3.0] and hits.part.tolist() == [0]
    assert np.allclose(hits.normal, [(0, 0, -1)])


def test_edges_are_anti_aliased():
    who = wardrobe.identity(0, 1)
    rng = np.random.default_rng(0)
    alpha = people._figure(who, camera.LOOKS[0], "standing", 0.0, rng, 128, 64)[4]
    partial = (alpha > 0) & (alpha < 1)
    assert alpha.min() == 0 and alpha.max() == 1
    assert set(np.unique(alpha)) == {0, .25, .5, .75, 1}
    solid = np.pad(alpha > 0, 1)
    inner = solid[:-2, 1:-1] & solid[2:, 1:-1] & solid[1:-1, :-2] & solid[1:-1, 2:]
    assert partial.sum() > 100
    assert (partial & inner).sum() < .35 * partial.sum()    # fractions sit on the outline


# --- skeleton -----------------------------------------------------------------------------------

def poses():
    rng = np.random.default_rng(5)
    for family in body.FAMILIES:
        for busy in ("", "r", "l"):
            for _ in range(8):
                yield family, body.sample_pose(rng, family, busy), rng.uniform(-180, 180)


def test_bone_lengths_do_not_depend_on_the_pose():
    bones = [(1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (11, 12), (12, 13),
             (8, 11), (0, 14), (0, 15), (14, 15), (16, 17)]
    build = body.Build(stature=1.8, legs=1.03)
    lengths = np.array([
        [np.linalg.norm(np.subtract(*body.pose_skeleton(build, pose, yaw).joints[list(b)]))
         for b in bones] for _, pose, yaw in poses()])
    assert np.ptp(lengths, 0).max() < 1e-9
    assert lengths[0, 2] == pytest.approx(body.bones(build)["upper_arm"])


def bend(joints, a, b, c):
    """Angle in degrees by which bone bc turns away from bone ab."""
    u, v = joints[b] - joints[a], joints[c] - joints[b]
    return np.degrees(np.arccos(np.clip(u @ v / np.linalg.norm(u) / np.linalg.norm(v), -1, 1)))


def test_joint_limits_hold():
    for _, pose, yaw in poses():
        assert all(lo <= pose[k] <= hi for k, (lo, hi) in body.LIMITS.items() if k in pose)
        joints = body.pose_skeleton(body.Build(), pose, yaw).joints
        for arm in (2, 5):
            assert bend(joints, arm, arm + 1, arm + 2) <= body.LIMITS["r_elbow"][1] + 1e-6
        for leg in (8, 11):
            assert bend(joints, leg, leg + 1, leg + 2) <= body.LIMITS["r_knee"][1] + 1e-6
    wild = body.pose_skeleton(body.Build(), {"r_elbow": 400.0, "l_knee": -90.0}).joints
    assert bend(wild, 2, 3, 4) == pytest.approx(145) and bend(wild, 11, 12, 13) < 1e-3


def test_knees_bend_backwards_and_elbows_forwards():
    joints = body.pose_skeleton(body.Build(), {"r_knee": 60, "l_elbow": 60}).joints
    assert joints[body.R_ANKLE, 2] < joints[body.R_KNEE, 2] - .1
    assert joints[body.L_WRIST, 2] > joints[body.L_ELBOW, 2] + .1
    assert joints[body.L_SHOULDER, 0] > 0 > joints[body.R_SHOULDER, 0]


def test_feet_stand_on_the_ground_and_gait_alternates():
    rng = np.random.default_rng(2)
    for _ in range(20):
        pose = body.sample_pose(rng, "walking")
        joints = body.pose_skeleton(body.Build(), pose).joints
        assert 0 < joints[[10, 13], 1].min() < .2
        legs = joints[body.R_ANKLE, 2] - joints[body.L_ANKLE, 2]
        arms = pose["r_shoulder_flex"] - pose["l_shoulder_flex"]
        assert abs(legs) < .35 or legs * arms < 0     # arms swing against the legs


# --- drawn views --------------------------------------------------------------------------------

def test_types_and_ranges(drawn):
    d = drawn[0]
    assert d.image.shape == (128, 64, 3) and d.image.dtype == np.uint8
    assert d.silhouette.shape == (128, 64) and d.silhouette.dtype == bool
    assert d.keypoints.shape == d.joints.shape == (18, 2)
    assert d.keypoints.dtype == d.joints.dtype == np.float32
    assert d.visible.shape == (18,) and d.visible.dtype == bool
    for d in drawn:
        k = d.keypoints
        assert (k == np.rint(k)).all()
        missing = (k == -1).all(1)
        assert ((k[~missing] >= 0) & (k[~missing] < (64, 128))).all()
        assert d.pose in body.FAMILIES and -180 <= d.yaw <= 180


def test_same_seed_same_picture():
    first = draw(3, 5, 7)
    for cache in (people._person, people._model, people._passer, scene.canvas):
        cache.cache_clear()
    draw(4, 1, 7)
    again = draw(3, 5, 7)
    assert (first.image == again.image).all() and (first.keypoints == again.keypoints).all()
    assert (first.silhouette == again.silhouette).all()
    assert (first.image != draw(3, 5, 8).image).mean() > .5
    assert (first.image != draw(3, 6, 7).image).mean() > .5


def test_same_seed_same_fashion_picture():
    first = draw_fashion(3, 5, 7, 64, 64)
    people._model.cache_clear()
    draw_fashion(4, 1, 7, 64, 64)
    again = draw_fashion(3, 5, 7, 64, 64)
    assert (first.image == again.image).all() and (first.keypoints == again.keypoints).all()
    assert (first.silhouette == again.silhouette).all()
    for other in ((3, 5, 8), (3, 6, 7), (4, 5, 7)):
        assert (first.joints != draw_fashion(*other, 64, 64).joints).mean() > .9


# What `draw` gave before the studio came to share its code: mean colours of 4x2 tiles, x, y.
OLD = [
    ((5, 2, 0),
     [[140.5, 89.9, 85.1], [149.6, 96.4, 105.5], [143.0, 83.3, 63.6], [181.8, 117.7, 117.3],
      [130.4, 111.6, 103.5], [94.7, 80.7, 86.8], [142.0, 123.9, 116.7], [76.0, 68.9, 69.4]],
     [36, 47, 36, 25, 22, 47, 31, 13, 39, 37, 38, 46, 47, 46, -1, 36, -1, 43],
     [27, 34, 35, 27, 15, 33, 37, 30, 66, 91, 113, 66, 93, 119, -1, 22, -1, 24]),
    ((8, 7, 1),
     [[130.2, 92.5, 83.0], [161.7, 137.9, 76.3], [129.6, 82.0, 57.4], [168.4, 126.0, 52.5],
      [116.3, 107.4, 75.9], [181.5, 163.3, 118.1], [133.7, 122.5, 89.4], [159.3, 144.9,
      105.7]],
     [-1, 25, 36, 57, -1, 14, 12, 14, 35, 28, 33, 16, 22, 26, -1, -1, -1, 20],
     [-1, 17, 14, 29, -1, 19, 36, 51, 57, 82, 111, 59, 90, 125, -1, -1, -1, 4]),
]


@pytest.mark.parametrize("numbers, tiles, x, y", OLD)
def test_street_pictures_stay_what_they_were(numbers, tiles, x, y):
    d = draw(*numbers)
    assert np.allclose(d.image.reshape(4, 32, 2, 32, 3).mean((1, 3)).reshape(-1, 3), tiles, atol=.3)
    assert (d.keypoints == np.stack([x, y], 1)).all()


def test_wrong_numbers_are_the_users_mistake():
    for bad in ({"identity": -1}, {"view": -2}, {"seed": -3}, {"height": 0}):
        for function in (draw, draw_fashion):
            with pytest.raises(UserError):
                function(**{"identity": 0, "view": 0} | bad)


def test_another_size_shows_the_same_view():
    small, big = draw(2, 1), draw(2, 1, height=256, width=128)
    assert big.image.shape == (256, 128, 3)
    assert np.allclose(big.joints + .5, 2 * (small.joints + .5), atol=1e-2)
    halved = big.silhouette.reshape(128, 2, 64, 2).mean((1, 3)) > .5
    assert (halved == small.silhouette).mean() > .98


def test_views_cover_cameras_directions_and_poses(drawn):
    for i in range(12):
        views = [d for d, (k, _) in zip(drawn, VIEWS) if k == i]
        assert {d.camera for d in views[:6]} == set(range(people.CAMERAS))
        turns = np.sort(np.mod([d.yaw for d in views], 360))
        assert np.diff(np.append(turns, turns[0] + 360)).max() < 91
    assert {d.pose for d in drawn} == set(body.FAMILIES)


def test_left_and_right(drawn):
    front = [d.joints for d in drawn if abs(d.yaw) < 40 and d.pose != "turning"]
    back = [d.joints for d in drawn if abs(d.yaw) > 140 and d.pose != "turning"]
    assert len(front) > 5 and len(back) > 5
    for right, left in ((2, 5), (8, 11)):
        assert all(j[right, 0] < j[left, 0] for j in front)
        assert all(j[right, 0] > j[left, 0] for j in back)


def test_face_is_gone_from_behind(drawn):
    behind = [d for d in drawn if abs(d.yaw) > 150 and d.pose not in ("turning",)]
    ahead = [d for d in drawn if abs(d.yaw) < 30 and d.pose not in ("turning", "arms_raised")]
    face = [body.NOSE, body.R_EYE, body.L_EYE]
    assert np.mean([(d.keypoints[face] == -1).all(1) for d in behind]) > .95
    assert np.mean([(d.keypoints[face] >= 0).all(1) for d in ahead]) > .6


def test_silhouette_covers_visible_joints(drawn):
    on, seen = 0, 0
    for d in drawn:
        x, y = np.rint(d.joints[d.visible]).astype(int).T
        on += d.silhouette[np.clip(y, 0, 127), np.clip(x, 0, 63)].sum()
        seen += d.visible.sum()
    assert seen > 500 and on / seen > .98


def test_detector_behaves_like_a_detector(drawn):
    found = np.array([(d.keypoints >= 0).all(1) for d in drawn])
    seen = np.array([d.visible for d in drawn])
    off = np.concatenate([(d.keypoints - d.joints)[f & s]
                          for d, f, s in zip(drawn, found, seen)])
    assert .8 < off.std() < 1.3                     # 1 px and the rounding to whole pixels
    assert .005 < 1 - found[seen].mean() < .05
    limbs = [3, 4, 6, 7, 9, 10, 12, 13]
    assert .5 < 1 - found[:, limbs][~seen[:, limbs]].mean() < .85
    assert found[:, [2, 5, 8, 11]].all(1).mean() > .85


def test_person_fills_the_crop(drawn):
    heights = []
    for d in drawn:
        rows = np.flatnonzero(d.silhouette.any(1))
        heights.append((rows[-1] - rows[0] + 1) / 128)
    assert .8 < np.median(heights) < .97 and min(heights) > .7


# --- models in a studio -------------------------------------------------------------------------

def test_fashion_size_is_free():
    small, big = (draw_fashion(2, 4, height=n, width=n) for n in (64, 256))
    assert big.image.shape == (256, 256, 3) and big.silhouette.shape == (256, 256)
    assert np.allclose(big.joints + .5, 4 * (small.joints + .5), atol=.02)
    assert (big.silhouette.reshape(64, 4, 64, 4).mean((1, 3)) > .5)[small.silhouette].mean() > .95
    narrow = draw_fashion(2, 4, height=256, width=176)      # as later papers crop it
    assert np.allclose(narrow.joints + (40, 0), big.joints, atol=.02)
    assert (narrow.silhouette == big.silhouette[:, 40:216]).all()
    for height, width in ((1, 1), (3, 50), (41, 7)):
        assert draw_fashion(0, 0, 0, height, width).image.shape == (height, width, 3)


def test_model_stands_in_the_middle_columns(modelled):
    covered = np.array([d.silhouette.any(0) for d in modelled])
    assert not covered[:, :10].any() and not covered[:, 54:].any()
    assert covered.any(0)[10:54].sum() > 36         # but anywhere there
    middle = [np.flatnonzero(c).mean() for c in covered]
    assert 28 < np.mean(middle) < 35


def test_fashion_keypoints_are_a_detectors(modelled):
    points = np.array([d.keypoints for d in modelled])
    joints = np.array([d.joints for d in modelled])
    seen = np.array([d.visible for d in modelled])
    found = (points >= 0).all(-1)
    assert points.dtype == np.float32 and (points == np.rint(points)).all()
    assert (points[~found] == -1).all() and points.max() < 64
    assert np.abs(points - joints)[found & seen].mean() < 1.0
    on = [d.silhouette[tuple(np.clip(np.rint(d.joints[d.visible]), 0, 63).astype(int).T[::-1])]
          for d in modelled]
    assert np.concatenate(on).mean() > .95
    x = points[found][:, 0]
    assert ((x >= 9) & (x < 55)).mean() > .995
    outside = ((joints < -.5) | (joints > 63.5)).any(-1)
    assert found[outside].mean() < .02              # a guess beside the edge


def test_crops_and_views(modelled):
    found = np.array([(d.keypoints >= 0).all(1) for d in modelled])
    kind = np.array([d.camera for d in modelled])
    yaw = np.array([abs(d.yaw) for d in modelled])
    assert set(kind) == {k.number for k in people.VIEWS.values()} == {0, 1, 2, 3, 6}
    assert all(len({d.camera for d in modelled[i:i + 5]}) == 5 for i in range(0, 160, 5))
    ankles, knees = found[:, [10, 13]], found[:, [9, 12]]
    assert ankles[kind < 3].mean() < .03 and ankles[kind == 3].mean() > .85
    assert .1 < knees[kind < 3].mean() < .5         # some are cut below the knees
    assert .2 < ankles[kind == 6].mean() < .7
    assert np.median(yaw[kind == 0]) < 25 and np.median(yaw[kind == 2]) > 155
    assert abs(np.median(yaw[kind == 1]) - 76) < 12 and 20 < np.median(yaw[kind == 6]) < 60
    face = found[:, [0, 14, 15]]
    assert face[kind == 0].mean() > .8 and face[kind == 2].mean() < .1
    full = np.array([d.silhouette.any(1) for d in modelled])[kind == 3]
    assert not full[:, 63].any() and full[:, 5:54].all()    # from head to foot


def test_most_fashion_pictures_are_usable(modelled):
    points = np.array([d.keypoints for d in modelled])
    kind = np.array([d.camera for d in modelled])
    assert torso_found(points).mean() > .88
    assert ((points[kind < 3][:, [8, 11]]) >= 0).all((1, 2)).mean() > .85   # hips of the crops
    assert torso_found(points).reshape(16, 10).sum(1).min() >= 5


def test_poses_and_outfits_of_models_vary(modelled):
    poses = [{d.pose for d in modelled[10 * i:10 * i + 10]} for i in range(16)]
    assert all({"standing", "hand_on_hip", "walking", "turning"} == p for p in poses)
    worn = [people._model(0, i)[0] for i in range(100)]
    assert {w.bag for w in worn} == {"none"}
    assert {w.top.kind for w in worn} == {"tshirt", "long", "jacket", "dress", "vest"}
    assert {w.bottom.kind for w in worn} == {"trousers", "shorts", "skirt", "dress"}
    assert len({w.top.pattern for w in worn}) == 7
    assert .65 < np.mean([w.female for w in worn]) < .95


def test_studio_is_plain_and_light(modelled):
    for d in modelled:
        x, y = np.meshgrid(np.arange(64), np.arange(64))
        around = np.pad(d.silhouette, 2)
        near = np.any([around[i:i + 64, j:j + 64] for i in range(5) for j in range(5)], 0)
        floor = y > d.joints[[10, 13], 1].min() - 16        # where shadows may lie
        paper = d.image[~near & ~floor].astype(float)
        assert paper.mean() > 185 and paper.std(0).max() < 6
        assert np.ptp(paper.mean(0)) < 20
        if d.camera == 3:
            floor = d.image[~near & (y > d.joints[[10, 13], 1].mean())].mean(1)
            assert np.percentile(floor, 3) < paper.mean() - 15      # a soft shadow at the feet
            assert np.median(floor) > paper.mean() - 12


# --- identities ---------------------------------------------------------------------------------

def clothes_colour(d):
    """Mean RGB of trunk and thighs, the camera's cast left in."""
    j, out = d.joints, []
    for right, left, top, bottom in (((2, 8), (5, 11), (2, 5), (8, 11)),
                                     ((8, 9), (11, 12), (8, 11), (9, 12))):
        x0, x1 = np.sort([j[list(right), 0].mean(), j[list(left), 0].mean()])
        y0, y1 = j[list(top), 1].mean(), j[list(bottom), 1].mean()
        box = (slice(int(y0 + .2 * (y1 - y0)), int(y0 + .8 * (y1 - y0))),
               slice(int(x0 - 2), int(x1) + 3))
        out.append(d.image[box][d.silhouette[box]].astype(float).mean(0))
    return np.concatenate(out)


def test_same_person_is_told_by_the_clothes(drawn):
    views = [(k, clothes_colour(d)) for d, (k, _) in zip(drawn, VIEWS)]
    right = 0
    for n, (k, colour) in enumerate(views):
        rest = [(np.abs(colour - c).sum(), i) for m, (i, c) in enumerate(views) if m != n]
        right += min(rest)[1] == k
    assert right / len(views) > .5                  # chance: 7/95


def albedo(who, yaw):
    """Hits and paint of a person standing straight, seen level from 6 m."""
    skeleton = body.pose_skeleton(who.build, {}, yaw)
    parts = dress.dress(who, skeleton)
    rotation, eye = np.diag((1.0, 1.0, -1.0)), np.array((0, 1.0, 6.0))
    people._to_camera(parts, rotation, eye)
    hits = render.cast(parts, np.linspace(-.16, .16, 96), np.linspace(.18, -.18, 192))
    frames = {zone: (rotation @ axes, rotation @ (at - eye)) for zone, (axes, at) in (
        (dress.TORSO, skeleton.frames["chest"]), (dress.SKIRT, skeleton.frames["pelvis"]))}
    zones = np.array([p.paint[0] for p in parts])[hits.part]
    body_points = frames[dress.TORSO][0].T @ (hits.place - frames[dress.TORSO][1][:, None])
    return paint.paint(who, parts, hits, frames), zones, body_points


def find(test):
    return next(who for who in (wardrobe.identity(0, i) for i in range(500)) if test(who))


def near(colours, colour):
    """Truth per pixel: this paint, whatever the creases do to its brightness."""
    return np.abs(colours / (colours.sum(1, keepdims=True) + 1e-6)
                  - colour / colour.sum()).max(1) < .01


def test_front_print_is_not_on_the_back():
    who = find(lambda w: w.top.pattern == "print" and w.bag == "none" and w.top.kind == "tshirt"
               and np.ptp(w.top.colours[1]) > .3 and np.ptp(w.top.colours[0]) > .3
               and not near(w.top.colours[:1], w.top.colours[1])
               and not near(w.bottom.colours[:1], w.top.colours[1]))
    counts = []
    for yaw in (0, 180):
        colours, zones, _ = albedo(who, yaw)
        counts.append(near(colours[zones == dress.TORSO], who.top.colours[1]).sum())
    assert counts[0] > 30 and counts[1] == 0


def test_stripes_stay_in_place_on_the_body():
    who = find(lambda w: w.top.pattern == "stripes" and w.bag == "none" and w.top.kind == "tshirt"
               and w.hair_style == "short")
    profile = []
    for yaw in (0, 60, 180):
        colours, zones, at = albedo(who, yaw)
        a, b = who.top.colours[:2]
        share = ((colours - a) @ (b - a)) / ((b - a) @ (b - a)) > .5
        band = (zones == dress.TORSO) & (at[1] > .02) & (at[1] < .40)
        rows = ((at[1][band] - .02) / .38 * 38).astype(int)
        profile.append(np.bincount(rows, share[band], 38) / np.bincount(rows, minlength=38))
    assert np.ptp(profile[0]) > .9                  # there are stripes
    for other in profile[1:]:
        assert np.abs(other - profile[0]).mean() < .12


def test_bars_turn_with_the_shoulders():
    who = find(lambda w: w.top.pattern == "bars" and w.bag == "none" and w.top.kind == "tshirt"
               and w.hair_style == "short")
    bars = round(.95 / who.top.period)              # around the whole body
    a, b = who.top.colours[:2]
    for yaw in (0, 40, 140):
        colours, zones, at = albedo(who, yaw)
        painted = ((colours - a) @ (b - a)) / ((b - a) @ (b - a)) > .5
        bar = (np.arctan2(at[0], at[2]) / (2 * np.pi) * bars) % 1 < .45
        chest = body.bones(who.build)["chest"]
        # The shoulder line beside the neck, and the part that hangs over the waist.
        for band in ((np.abs(at[0]) > .09) & (at[1] > .9 * chest), (at[1] > .03) & (at[1] < .15)):
            band &= zones == dress.TORSO
            assert band.sum() > 50
            assert (painted == bar)[band].mean() > .85


def test_identities_differ():
    people_ = [wardrobe.identity(0, i) for i in range(200)]
    assert {w.top.kind for w in people_} == {"tshirt", "long", "jacket", "dress", "vest"}
    assert {w.bottom.kind for w in people_} == {"trousers", "shorts", "skirt", "dress"}
    assert {w.bag for w in people_} == {"none", "backpack", "shoulder", "handbag"}
    assert len({w.hair_style for w in people_}) == 8
    again = wardrobe.identity(0, 17)
    assert (again.top.colours == people_[17].top.colours).all()
    assert again.build == people_[17].build


# --- backgrounds --------------------------------------------------------------------------------

def test_six_backgrounds_differ():
    views = [np.asarray(scene.canvas(0, c), float) for c in range(people.CAMERAS)]
    for a in range(6):
        for b in range(a):
            assert np.abs(views[a] - views[b]).mean() > 20
        assert views[a].std() > 15                  # not an empty wall
    crops = [scene.backdrop(0, 1, np.random.default_rng(k), 128, 64) for k in range(2)]
    assert crops[0].shape == (128, 64, 3) and np.abs(crops[0] - crops[1]).mean() > .02


def test_shadow_lies_at_the_feet():
    shot = camera.View(np.diag((1.0, 1.0, -1.0)), np.array((0, 1.0, 6.0)), 300., 300., 32., 64.)
    feet = np.array([(-.1, .08, 0), (.1, .08, 0)])
    light = scene.shadow(shot, feet, (0, 1, -.1), .5, 128, 64)
    x, y = shot.project(shot.to_camera(np.array((0, 0, 0.0))))
    assert light[int(round(y)), int(round(x))] < .6 and light[:60].min() == 1
    assert light[int(round(y)), 2] > .9
