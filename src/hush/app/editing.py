"""What `hush inpaint` is to make in a hole, as another network judges it."""

from typing import TYPE_CHECKING

from hush.errors import UserError, nearest

if TYPE_CHECKING:
    from hush.app.restoring import Inpaint
    from hush.tasks.edit import Judge


def judged(options: "Inpaint") -> "Judge | None":
    """The judge that the options name, if they name one."""
    from hush.tasks.edit import Belonging, Likeness
    from hush.tasks.taught import recall

    if (options.text is None) != (options.encoder is None):
        raise UserError(
            "hush inpaint wants --text and --encoder together: what is to be made, and the folder "
            "that `hush teach encoder` wrote."
        )
    if options.text is not None:
        if options.classes is not None:
            raise UserError("Say what is to be made by --text or by --class, not by both.")
        judge = Likeness(recall(options.encoder, "encoder")[0], options.text)
        judge.encoder.captions([judge.text])  # what it cannot read is told before anything is made
        return judge
    if options.classifier is None:
        return None
    if options.classes is None:
        raise UserError("--classifier wants --class too: what is to be made.")
    classifier, classes = recall(options.classifier, "classifier")
    if options.classes not in classes:
        hint = nearest(options.classes, classes)
        raise UserError(
            f"The classifier {options.classifier} knows no class {options.classes!r}: {hint}"
        )
    return Belonging(classifier, classes.index(options.classes))
