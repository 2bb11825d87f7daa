"""What the browser's panel says. Texts come from the wire and are escaped: they stay texts."""

from html import escape

from mail_monitor.scene import BOX, EXECUTED_NEW, PREDICTED_NEAR, Colour
from mail_monitor.seen import Snapshot
from mail_monitor.status_lines import age_lines, headline, policy_line

NOTICE = "Shows only. Nothing here commands the arm, and no stop is here: use the button."

_KEYS = (("executed", EXECUTED_NEW), ("predicted", PREDICTED_NEAR), ("workspace", BOX))


def panel_html(snapshot: Snapshot) -> str:
    """Return the panel: state, task, whether the arm may move, policy, ages."""
    first, *rest = headline(snapshot)
    lines = [
        f"<b style='font-size:1.25em'>{escape(first)}</b>",
        *(f"<div>{escape(line)}</div>" for line in rest),
        f"<div>{escape(policy_line(snapshot))}</div>",
        f"<pre style='margin:0.6em 0'>{escape(chr(10).join(age_lines(snapshot)))}</pre>",
        "<div>" + " ".join(_key(*entry) for entry in _KEYS) + "</div>",
        f"<i>{escape(NOTICE)}</i>",
    ]
    return f"<div style='padding:0.6em 1em'>{''.join(lines)}</div>"


def _key(name: str, colour: Colour) -> str:
    red, green, blue = (round(255 * part) for part in colour)
    return f"<span style='color:rgb({red},{green},{blue})'>&#9644;</span> {name}"
