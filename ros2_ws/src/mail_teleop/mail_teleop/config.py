"""How a person moves the arm, as a strict YAML file; launch/config/teleop_*.yaml are examples."""

from dataclasses import dataclass, field
from enum import StrEnum

from mail_policy.core.types import NUM_JOINTS
from mail_teleop.gello_angles import GelloConfig, TriggerUse
from mail_teleop.keyboard_keys import KeyboardConfig
from mail_teleop.mapping import MappingConfig
from mail_teleop.readings import AXES, GripperAction, OperatorKey
from mail_teleop.spacemouse_reports import SpaceMouseConfig


class DeviceKind(StrEnum):
    """What the person moves. KEYS moves nothing: for guiding by hand and for watching."""

    KEYBOARD = "keyboard"
    KEYS = "keys"
    GAMEPAD = "gamepad"
    SPACEMOUSE = "spacemouse"
    GELLO = "gello"
    LEADER_ARM = "leader_arm"


class SwitchKind(StrEnum):
    """Where the dead-man switch is."""

    OWN = "own"
    KEYBOARD = "keyboard"
    PEDAL = "pedal"


@dataclass(frozen=True, kw_only=True, slots=True)
class GamepadConfig:
    """A gamepad behind the kernel's input events; names of codes are those of `evtest`.

    Attributes:
        path: Its event device; "" for the first gamepad found.
        switch: Button that is the dead-man switch.
        axes: What each axis pushes: x, y, z, roll, pitch or yaw, with a minus sign to reverse it.
        gripper: What a button asks of the gripper.
        keys: What a button asks for. A cross counts as buttons, for example "ABS_HAT0X-".
        wireless_silence_s: A pad on Bluetooth that says nothing for so long while the switch is
            held counts as lost [s]: the kernel keeps its last state for seconds.
    """

    path: str = ""
    switch: str = "BTN_TL"
    axes: dict[str, str] = field(
        default_factory=lambda: {
            "ABS_Y": "-x",
            "ABS_X": "-y",
            "ABS_RY": "-z",
            "ABS_RX": "-yaw",
        }
    )
    gripper: dict[str, GripperAction] = field(
        default_factory=lambda: {"BTN_SOUTH": GripperAction.TOGGLE}
    )
    keys: dict[str, OperatorKey] = field(
        default_factory=lambda: {
            "BTN_EAST": OperatorKey.ESTOP,
            "BTN_START": OperatorKey.START,
            "BTN_SELECT": OperatorKey.RESUME,
            "BTN_NORTH": OperatorKey.SUCCESS,
            "BTN_WEST": OperatorKey.FAILURE,
            "ABS_HAT0X+": OperatorKey.SAVE,
            "ABS_HAT0X-": OperatorKey.RERECORD,
            "ABS_HAT0Y-": OperatorKey.FASTER,
            "ABS_HAT0Y+": OperatorKey.SLOWER,
        }
    )
    wireless_silence_s: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a gamepad without a switch, or with axes that mean nothing."""
        if not self.switch:
            raise ValueError("switch must name a button, for example BTN_TL")
        if self.switch in self.keys or self.switch in self.gripper:
            raise ValueError(f"{self.switch} is the switch and cannot mean something else too")
        for code, axis in self.axes.items():
            if axis.lstrip("-") not in AXES:
                raise ValueError(f"axes: {code} must be one of {', '.join(AXES)}, got {axis!r}")
        if not self.wireless_silence_s > 0:
            raise ValueError("wireless_silence_s must be greater than 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class PedalConfig:
    """A foot pedal, which is a keyboard with one key for the kernel.

    Attributes:
        path: Its event device, for example /dev/input/by-id/usb-...-event-kbd.
        key: Name of the key that it presses, as `evtest` shows it.
    """

    path: str = ""
    key: str = "KEY_B"


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaderArmConfig:
    """A second Franka arm that a person guides by hand.

    Its guiding buttons are the dead-man switch, unless the switch is elsewhere.

    Attributes:
        address: IP address or name of the leader; never that of the arm that follows.
        connect_timeout_s: How long opening waits for it [s].
        joint_signs: 1, or -1 for a leader that is mounted as a mirror image.
    """

    address: str
    connect_timeout_s: float = 5.0
    joint_signs: tuple[int, ...] = (1, 1, 1, 1, 1, 1, 1)

    def __post_init__(self) -> None:
        """Refuse a leader without an address, and wrong signs."""
        if not self.address:
            raise ValueError("address must not be empty")
        if len(self.joint_signs) != NUM_JOINTS or any(s not in (1, -1) for s in self.joint_signs):
            raise ValueError(f"joint_signs must be seven times 1 or -1, got {self.joint_signs}")
        if not self.connect_timeout_s > 0:
            raise ValueError(f"connect_timeout_s must be > 0, got {self.connect_timeout_s}")


@dataclass(frozen=True, kw_only=True, slots=True)
class TeleopConfig:
    """A device, its dead-man switch, and what its readings mean.

    Attributes:
        device: What the person moves.
        switch: Where the dead-man switch is. "keyboard" is the key C, held, of the terminal.
        terminal_keys: Whether a terminal beside the device takes episode keys and the emergency
            stop; keyboard and keys always have one.
        mapping: What the readings mean.
        keyboard: Settings of the keyboard.
        gamepad: Settings of the gamepad.
        spacemouse: Settings of the SpaceMouse.
        pedal: Settings of the foot pedal.
        gello: Settings of the GELLO; needed if it is the device.
        leader_arm: Settings of the leader arm; needed if it is the device.
    """

    device: DeviceKind
    switch: SwitchKind = SwitchKind.OWN
    terminal_keys: bool = False
    mapping: MappingConfig = field(default_factory=MappingConfig)
    keyboard: KeyboardConfig = field(default_factory=KeyboardConfig)
    gamepad: GamepadConfig = field(default_factory=GamepadConfig)
    spacemouse: SpaceMouseConfig = field(default_factory=SpaceMouseConfig)
    pedal: PedalConfig = field(default_factory=PedalConfig)
    gello: GelloConfig | None = None
    leader_arm: LeaderArmConfig | None = None

    def __post_init__(self) -> None:
        """Refuse a device without its settings, and a device without a switch."""
        for kind in (DeviceKind.GELLO, DeviceKind.LEADER_ARM):
            if self.device is kind and getattr(self, kind.value) is None:
                raise ValueError(f"device {kind.value} needs the section {kind.value}")
        if self.switch is SwitchKind.PEDAL and not self.pedal.path:
            raise ValueError("a switch on a pedal needs pedal.path, see ls /dev/input/by-id")
        if self.has_own_terminal and self.switch is SwitchKind.KEYBOARD:
            raise ValueError(f"device {self.device.value}: leave switch at 'own'")
        if self.switch is SwitchKind.OWN and not self._has_own_switch:
            raise ValueError(
                "a GELLO needs a dead-man switch: set switch to keyboard or pedal, or "
                "gello.trigger_use to switch"
            )

    @property
    def _has_own_switch(self) -> bool:
        if self.device is not DeviceKind.GELLO or self.gello is None:
            return True
        return self.gello.trigger_use is TriggerUse.SWITCH

    @property
    def has_own_terminal(self) -> bool:
        """Whether the device itself is a terminal."""
        return self.device in (DeviceKind.KEYBOARD, DeviceKind.KEYS)

    @property
    def needs_terminal(self) -> bool:
        """Whether a terminal is opened beside the device."""
        wanted = self.terminal_keys or self.switch is SwitchKind.KEYBOARD
        return wanted and not self.has_own_terminal
