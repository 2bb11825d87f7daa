# Every task of a developer. `make help` lists them.
#
# Variables:
#   PYTHON       interpreter that makes the environment (3.11 or newer)
#   VENV         where the environment lies
#   TORCH_EXTRA  more arguments for pip, to choose a torch build, for example
#                TORCH_EXTRA="--extra-index-url https://download.pytorch.org/whl/cpu"
#   ARGS         more arguments for mailctl in `make demo`

SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
TORCH_EXTRA ?=
ARGS ?=

TOOLS := ros2_ws/tools
STAMPS := $(VENV)/.stamps
LOGS := $(VENV)/logs
BIN := $(VENV)/bin

# apt's ROS and the wheels must never meet in one environment.
ifdef ROS_DISTRO
EXTRAS := sim,robot,teleop,formats,train,monitor,dev
ENVIRONMENT := source ros2_ws/install/setup.bash;
else
EXTRAS := ros,sim,robot,teleop,formats,train,monitor,dev
ENVIRONMENT := export AMENT_PREFIX_PATH=$(abspath $(VENV));
endif

ROS_PACKAGES := $(notdir $(patsubst %/,%,$(dir $(wildcard ros2_ws/src/*/setup.py))))
TYPED := mail_policy data_collection calibration \
         $(foreach package,$(ROS_PACKAGES),ros2_ws/src/$(package)/$(package))
# What makes the workspace stale. Python files are linked, so editing them needs no build.
WORKSPACE := $(wildcard ros2_ws/src/*/package.xml ros2_ws/src/*/setup.py ros2_ws/src/*/setup.cfg \
             ros2_ws/src/*/CMakeLists.txt ros2_ws/src/*/msg/* ros2_ws/src/*/srv/* \
             ros2_ws/src/*/action/* ros2_ws/src/mail_bringup/stand_ins/*/*.* \
             ros2_ws/src/mail_bringup/stand_ins/*/*/* \
             launch/*.py launch/config/* launch/rviz/*)
TEST_ENVIRONMENT := export OMP_NUM_THREADS=1 MUJOCO_GL=egl ROS_PYTHON_CHECK_FIELDS=1 \
                    ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST PATH="$(abspath $(BIN)):$$PATH";

.DEFAULT_GOAL := help
.PHONY: help setup build demo test lint types unit ros format lock clean distclean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMPS)/workspace ## Create the environment, install pinned packages, build the workspace

demo: $(STAMPS)/workspace ## Run the task "open drawer" on the simulated twin, with video and report
	@$(ENVIRONMENT) $(BIN)/mailctl demo $(ARGS)

test: lint types unit ros ## Everything that needs no robot; CI runs exactly this

lint: $(STAMPS)/packages ## Check style
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMPS)/packages ## Check types
	@$(BIN)/mypy $(wildcard $(TYPED))

unit: $(STAMPS)/workspace ## Tests without ROS
	@$(TEST_ENVIRONMENT) $(ENVIRONMENT) $(BIN)/python -m pytest -q tests/unit

ros: $(STAMPS)/workspace ## Tests of nodes and of the whole stack on the twin
	@$(TEST_ENVIRONMENT) $(ENVIRONMENT) $(BIN)/python -m pytest -q $(wildcard tests/ros tests/system)

format: $(STAMPS)/packages ## Put the code into our style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

build: $(STAMPS)/packages ## Build the ROS packages
	@rm -f $(STAMPS)/workspace
	@$(MAKE) --no-print-directory $(STAMPS)/workspace

lock: ## Write requirements.lock from the installed packages
	@$(BIN)/python $(TOOLS)/lock_requirements.py

clean: ## Remove what building made
	rm -rf ros2_ws/build ros2_ws/install ros2_ws/log $(STAMPS)/workspace

distclean: clean ## Remove the environment too
	rm -rf $(VENV)

KERNELS := $(wildcard mail_policy/kernels/*.cpp mail_policy/kernels/*.hpp)

$(STAMPS)/packages: pyproject.toml setup.py requirements.lock $(KERNELS)
	@$(TOOLS)/system_packages.sh
	@$(TOOLS)/create_environment.sh $(PYTHON) $(VENV)
	@$(TOOLS)/quietly.sh $(LOGS)/pip.log "installing Python packages into $(VENV)" \
	  $(BIN)/python -m pip install --disable-pip-version-check -c requirements.lock \
	  $(TORCH_EXTRA) -e ".[$(EXTRAS)]"
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/workspace: $(STAMPS)/packages $(WORKSPACE)
	@$(TOOLS)/quietly.sh $(LOGS)/build.log "building the ROS packages" \
	  $(TOOLS)/build_workspace.sh $(VENV)
	@mkdir -p $(STAMPS) && touch $@
