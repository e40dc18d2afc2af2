"""`synthetic-market` against hand-computed values, slow references and the rules of anatomy."""
import numpy as np
import pytest

from pg2lib import people
from pg2lib.errors import UserError
from pg2lib.people import body, camera, clothes, draw, render, scene

VIEWS = [(i, v) for i in range(12) for v in range(8)]


@pytest.fixture(scope="module")
def drawn():
    return [draw(i, v) for i, v in VIEWS]


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
    who = clothes.identity(0, 1)
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
    for cache in (people._person, people._passer, scene.canvas):
        cache.cache_clear()
    draw(4, 1, 7)
    again = draw(3, 5, 7)
    assert (first.image == again.image).all() and (first.keypoints == again.keypoints).all()
    assert (first.silhouette == again.silhouette).all()
    assert (first.image != draw(3, 5, 8).image).mean() > .5
    assert (first.image != draw(3, 6, 7).image).mean() > .5


def test_wrong_numbers_are_the_users_mistake():
    for bad in ({"identity": -1}, {"view": -2}, {"seed": -3}, {"height": 0}):
        with pytest.raises(UserError):
            draw(**{"identity": 0, "view": 0} | bad)


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
    parts = clothes.dress(who, skeleton)
    rotation, eye = np.diag((1.0, 1.0, -1.0)), np.array((0, 1.0, 6.0))
    people._to_camera(parts, rotation, eye)
    hits = render.cast(parts, np.linspace(-.16, .16, 96), np.linspace(.18, -.18, 192))
    frames = {zone: (rotation @ axes, rotation @ (at - eye)) for zone, (axes, at) in (
        (clothes.TORSO, skeleton.frames["chest"]), (clothes.SKIRT, skeleton.frames["pelvis"]))}
    zones = np.array([p.paint[0] for p in parts])[hits.part]
    body_points = frames[clothes.TORSO][0].T @ (hits.place - frames[clothes.TORSO][1][:, None])
    return clothes.paint(who, parts, hits, frames), zones, body_points


def find(test):
    return next(who for who in (clothes.identity(0, i) for i in range(500)) if test(who))


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
        counts.append(near(colours[zones == clothes.TORSO], who.top.colours[1]).sum())
    assert counts[0] > 30 and counts[1] == 0


def test_stripes_stay_in_place_on_the_body():
    who = find(lambda w: w.top.pattern == "stripes" and w.bag == "none" and w.top.kind == "tshirt"
               and w.hair_style == "short")
    profile = []
    for yaw in (0, 60, 180):
        colours, zones, at = albedo(who, yaw)
        a, b = who.top.colours[:2]
        share = ((colours - a) @ (b - a)) / ((b - a) @ (b - a)) > .5
        band = (zones == clothes.TORSO) & (at[1] > .02) & (at[1] < .40)
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
            band &= zones == clothes.TORSO
            assert band.sum() > 50
            assert (painted == bar)[band].mean() > .85


def test_identities_differ():
    people_ = [clothes.identity(0, i) for i in range(200)]
    assert {w.top.kind for w in people_} == {"tshirt", "long", "jacket", "dress", "vest"}
    assert {w.bottom.kind for w in people_} == {"trousers", "shorts", "skirt", "dress"}
    assert {w.bag for w in people_} == {"none", "backpack", "shoulder", "handbag"}
    assert len({w.hair_style for w in people_}) == 8
    again = clothes.identity(0, 17)
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
