"""What is said of a training while it goes on: the figures of the last epoch, in a line."""

from collections.abc import Mapping


def before(done: float, epochs: int) -> str:
    """What there is to say before the first figures."""
    return f"{'goes on in' if done else 'in'} epoch {min(int(done) + 1, epochs)}/{epochs}"


def figures(
    epoch: int, epochs: int, measured: Mapping[str, float], kind: str = "images"
) -> tuple[str, ...]:
    """The figures of an epoch, which is named: one form for wide terminals, and shorter ones.

    Args:
      epoch: that was measured.
      epochs: how many there are.
      measured: its line in metrics.jsonl.
      kind: of what is learned from.
    """
    loss, accuracy = measured["train_loss"], measured["test_accuracy"]
    rate, iou, skipped = measured["images_per_second"], measured.get("test_iou"), ""
    if measured.get("skipped"):
        skipped = f"  {measured['skipped']} skipped"
    overlap = "" if iou is None else f"  overlap {iou:.2%}"
    score = f"accuracy {accuracy:.2%}" if iou is None else f"overlap {iou:.2%}"
    short = f"acc {accuracy:.1%}" if iou is None else f"iou {iou:.1%}"
    place, brief = f"epoch {epoch}/{epochs}", "img" if kind == "images" else kind
    return (
        f"{place}  loss {loss:.4f}  test accuracy {accuracy:.2%}{overlap}  {rate:,.0f} {kind}/s"
        f"{skipped}",
        f"{place}  loss {loss:.4f}  {score}  {rate:,.0f} {kind}/s{skipped}",
        f"{place}  loss {loss:.3f}  {short}  {rate:,.0f} {brief}/s{skipped}",
        f"{epoch}/{epochs}  loss {loss:.2f}  {short}  {rate:,.0f}/s",
    )
