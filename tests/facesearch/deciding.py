"""What a human says of a face in a photo, in one call."""


def confirm(gallery, photo, name, number=None, *, new=False, **how):
    """Say that face `number` of `photo` is `name`; with `new` nobody needs to bear the name yet."""
    who = "enrolled or new" if new else "enrolled"
    return gallery.faces.confirm([gallery.faces.look_at(photo, number)], name, who=who, **how)


def reject(gallery, photo, name, number=None):
    """Say that face `number` of `photo` is not `name`."""
    return gallery.faces.reject([gallery.faces.locate(photo, number, name)], name)


def dismiss(gallery, photo, verdict, number=None):
    """Say that face `number` of `photo` is a stranger's, or no face."""
    return gallery.faces.dismiss([gallery.faces.locate(photo, number)], verdict)


def decide(gallery, verb, *arguments):
    """Make one decision by its name."""
    verbs = {
        "confirm": lambda *rest: confirm(gallery, *rest),
        "reject": lambda *rest: reject(gallery, *rest),
        "dismiss": lambda *rest: dismiss(gallery, *rest),
        "confirm_faces": gallery.faces.confirm,
        "reject_faces": gallery.faces.reject,
        "undo": gallery.history.undo,
        "not_same_photos": gallery.duplicates.not_same_photos,
    }
    chosen = verbs[verb] if verb in verbs else getattr(gallery.people, verb)
    return chosen(*arguments)
