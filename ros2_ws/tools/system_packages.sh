#!/usr/bin/env bash
# Checks that the system packages are there that pip cannot bring. Installs them when run by root,
# and otherwise prints the line to run and stops.
set -euo pipefail

packages=(libegl1 libegl-mesa0 libgl1-mesa-dri libusb-1.0-0 cmake g++ make)

if ! command -v dpkg-query >/dev/null; then
  echo "setup: not a Debian or Ubuntu system; make sure that these exist: ${packages[*]}" >&2
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
  # A cmake or g++ that did not come from apt is as good.
  if [[ "$status" != "install ok installed" ]] && ! command -v "$package" >/dev/null; then
    missing+=("$package")
  fi
done
if ((${#missing[@]} == 0)); then exit 0; fi

if [[ $(id -u) != 0 ]]; then
  echo "setup: system packages are missing. Run this line, then the same make command again:" >&2
  echo "  sudo apt-get update && sudo apt-get install -y ${missing[*]}" >&2
  exit 1
fi
echo "setup: installing system packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}"
