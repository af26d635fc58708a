# SPDX-License-Identifier: Apache-2.0
# Puts every cl/*.cl and cl/*.clh into the library as byte arrays (C promises only 4,095 characters
# a string literal). host/device/source.c inlines the includes when a program is built, the same way
# for embedded files and for a folder named by TT_CL_DIR.
#
# Included by CMakeLists.txt it defines tt_embed_kernels(target). Run as a script at build time
#   cmake -DOUT=kernels.c -DLIST=kernels.txt -P cl/embed.cmake
# it writes OUT from the files that LIST names, one a line.

cmake_policy(VERSION 3.20) # a script has no project to take it from
set(TT_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

function(tt_embed_kernels target)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/cl/*.cl ${CMAKE_SOURCE_DIR}/cl/*.clh)
  list(SORT files)
  list(JOIN files "\n" lines)
  set(list ${CMAKE_BINARY_DIR}/kernels.txt) # changes only when a file comes or goes
  file(CONFIGURE OUTPUT ${list} CONTENT "${lines}\n" @ONLY)
  set(out ${CMAKE_BINARY_DIR}/kernels.c)
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DLIST=${list} -P ${TT_EMBED_SCRIPT}
    DEPENDS ${files} ${list} ${TT_EMBED_SCRIPT} VERBATIM
    COMMENT "embedding kernels")
  target_sources(${target} PRIVATE ${out})
endfunction()

function(tt_embed_write out list)
  file(STRINGS ${list} files)
  set(names)
  foreach(file ${files})
    get_filename_component(name ${file} NAME)
    list(APPEND names ${name})
  endforeach()
  set(text "/* Made by cl/embed.cmake from cl/: do not edit. */\n")
  string(APPEND text "#include \"host/device/internal.h\"\n\n")
  set(rows)
  foreach(file ${files})
    get_filename_component(name ${file} NAME)
    string(MAKE_C_IDENTIFIER ${name} id)
    # An include that names no file would otherwise show only when the kernel is first used.
    file(STRINGS ${file} includes REGEX "^[ \t]*#[ \t]*include")
    foreach(line ${includes})
      if(NOT line MATCHES "^[ \t]*#include \"([A-Za-z0-9_.]+)\"" OR NOT CMAKE_MATCH_1 IN_LIST names)
        message(FATAL_ERROR "cl/${name}: ${line}: write #include \"file.clh\" with a file of cl/")
      endif()
    endforeach()
    file(READ ${file} hex HEX)
    file(SIZE ${file} size)
    string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
    string(APPEND text "static const unsigned char ${id}[] = {\n${hex}0x00};\n\n")
    string(APPEND rows "    {\"${name}\", ${id}, ${size}},\n")
  endforeach()
  string(APPEND text "const tti_kernel_file tti_kernel_files[] = {\n${rows}    {0, 0, 0},\n};\n")
  file(WRITE ${out} "${text}")
endfunction()

if(CMAKE_SCRIPT_MODE_FILE STREQUAL TT_EMBED_SCRIPT)
  tt_embed_write(${OUT} ${LIST})
endif()
