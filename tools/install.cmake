# What `cmake --install` puts where, as Debian expects it.  Nothing in it names the prefix: the
# tree can be moved, or staged with DESTDIR.
include(CMakePackageConfigHelpers)

install(TARGETS loom LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS segloom RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
# From bin/ to the library, wherever the prefix lies; a build tree has RPATHs of its own.
file(RELATIVE_PATH bin_to_lib /prefix/${CMAKE_INSTALL_BINDIR} /prefix/${CMAKE_INSTALL_LIBDIR})
set_target_properties(segloom PROPERTIES INSTALL_RPATH "$ORIGIN/${bin_to_lib}")
install(DIRECTORY pipeline/include/loom DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILES_MATCHING PATTERN "*.h")
install(DIRECTORY configs/ DESTINATION ${CMAKE_INSTALL_DATADIR}/segloom/configs
    FILES_MATCHING PATTERN "*.yaml" PATTERN "*.sbatch" PATTERN "README.md")
install(FILES README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES plugins/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME plugins.md)
install(FILES tools/completion.bash RENAME segloom
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)

# The manual page says what --help says.
add_custom_command(OUTPUT segloom.1 VERBATIM
    COMMAND ${CMAKE_SOURCE_DIR}/tools/manual $<TARGET_FILE:segloom> ${CMAKE_BINARY_DIR}/segloom.1
    DEPENDS segloom tools/manual)
add_custom_target(manual ALL DEPENDS ${CMAKE_BINARY_DIR}/segloom.1)
install(FILES ${CMAKE_BINARY_DIR}/segloom.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)

# find_package(segloom), pkg-config segloom.
set(cmake_folder ${CMAKE_INSTALL_LIBDIR}/cmake/segloom)
set(LIBRARY_FOLDER ${CMAKE_INSTALL_LIBDIR})
set(INCLUDE_FOLDER ${CMAKE_INSTALL_INCLUDEDIR})
configure_package_config_file(tools/segloomConfig.cmake.in segloomConfig.cmake
    INSTALL_DESTINATION ${cmake_folder} PATH_VARS LIBRARY_FOLDER INCLUDE_FOLDER)
write_basic_package_version_file(segloomConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/segloomConfig.cmake
    ${CMAKE_BINARY_DIR}/segloomConfigVersion.cmake DESTINATION ${cmake_folder})
file(RELATIVE_PATH lib_to_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(tools/segloom.pc.in segloom.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/segloom.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
