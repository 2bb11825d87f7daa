#!/usr/bin/env bash
# Builds the ROS packages below ros2_ws/src.
#
#   build_workspace.sh <venv> [package...]
#
# Pip machine (ROS_DISTRO unset): everything is installed into the virtual environment itself,
# so nothing has to be sourced afterwards; packages that PyPI lacks come from stand-ins with the
# same interfaces. ROS machine: a plain overlay in ros2_ws/install.
set -euo pipefail

venv=$(cd "$1" && pwd)
shift
workspace=$(cd "$(dirname "$0")/.." && pwd)
cmake_arguments=(-DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF "-DPython3_EXECUTABLE=$venv/bin/python")
sources=(src)
select=()
if (($#)); then select=(--packages-select "$@"); fi

export PATH="$venv/bin:$PATH" MAKEFLAGS="${MAKEFLAGS_COLCON:--j2}"
if [[ -n "${ROS_DISTRO:-}" ]]; then
  install=("--install-base" "$workspace/install")
else
  # Leftovers of another ROS would leak into the build.
  unset PYTHONPATH COLCON_PREFIX_PATH LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE
  export VIRTUAL_ENV="$venv" AMENT_PREFIX_PATH="$venv" CMAKE_PREFIX_PATH="$venv"
  install=("--install-base" "$venv" "--merge-install")
  # Ours is there already after the first build; somebody else's is not to be replaced.
  for stand_in in "$workspace"/src/mail_bringup/stand_ins/*; do
    package=$(basename "$stand_in")
    if [[ -d "$workspace/build/$package" ]] || ! "$venv/bin/python" -c "import $package" 2>/dev/null; then
      sources+=("$stand_in")
    fi
  done
  cmake_arguments+=("-DCMAKE_PROJECT_INCLUDE=$workspace/cmake/drop_missing_includes.cmake")
fi

cd "$workspace"
colcon --log-base log build --base-paths "${sources[@]}" --build-base build "${install[@]}" \
  --symlink-install --executor sequential "${select[@]}" --cmake-args "${cmake_arguments[@]}"

if [[ -z "${ROS_DISTRO:-}" ]]; then
  # colcon leaves linked Python packages to PYTHONPATH, which somebody would have to source. The
  # sources come first, so that tracebacks name them; the build folders hold the metadata.
  site_packages=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  for package in src/*/setup.py; do echo "$workspace/$(dirname "$package")"; done \
    >"$site_packages/mail_workspace.pth"
  for metadata in build/*/*.egg-info; do echo "$workspace/$(dirname "$metadata")"; done \
    >>"$site_packages/mail_workspace.pth"
fi
