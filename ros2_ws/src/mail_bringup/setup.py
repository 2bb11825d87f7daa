from pathlib import Path

from setuptools import find_packages, setup

package_name = "mail_bringup"
# `launch` is a link to the top-level folder, the only home of launch files and configuration.
launch_folders = [Path("launch"), Path("launch/config"), Path("launch/rviz")]

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(include=[f"{package_name}*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
        *(
            (
                f"share/{package_name}/{folder}",
                sorted(str(path) for path in folder.glob("*.*") if path.is_file()),
            )
            for folder in launch_folders
        ),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    entry_points={"console_scripts": ["supervisor_node = mail_bringup.supervisor:main"]},
)
