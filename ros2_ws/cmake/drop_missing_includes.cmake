# Included by every project of the workspace through CMAKE_PROJECT_INCLUDE on a pip machine.
#
# The imported targets <pkg>::<pkg>__rosidl_generator_py of the ROS wheels carry include
# directories of the machine that built them. CMake stops on an imported target whose include
# directory does not exist, so these entries are removed before the project is generated.

function(mail_drop_missing_includes)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    if(NOT target MATCHES "__rosidl_generator_py$")
      continue()
    endif()
    get_target_property(directories ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT directories)
      continue()
    endif()
    set(kept "")
    foreach(directory IN LISTS directories)
      if(directory MATCHES "^\\$<" OR EXISTS "${directory}")
        list(APPEND kept "${directory}")
      endif()
    endforeach()
    set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${kept}")
  endforeach()
endfunction()

cmake_language(DEFER CALL mail_drop_missing_includes)
