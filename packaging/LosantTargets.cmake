# The targets Losant::shared, Losant::static and Losant::losant, which is one of the two: shared, or static with
# LOSANT_USE_STATIC_LIBS. Included by the installed package and by the source tree, which set the variables first.
if(TARGET Losant::losant)
    return()
endif()

add_library(Losant::shared SHARED IMPORTED GLOBAL)
set_target_properties(Losant::shared PROPERTIES
    IMPORTED_LOCATION "${LOSANT_LIBRARY_DIR}/liblosant.so"
    IMPORTED_SONAME "liblosant.so.${LOSANT_SOVERSION}"
    INTERFACE_INCLUDE_DIRECTORIES "${LOSANT_INCLUDE_DIR}")

add_library(Losant::static STATIC IMPORTED GLOBAL)
set_target_properties(Losant::static PROPERTIES
    IMPORTED_LOCATION "${LOSANT_LIBRARY_DIR}/liblosant.a"
    INTERFACE_INCLUDE_DIRECTORIES "${LOSANT_INCLUDE_DIR}"
    INTERFACE_LINK_LIBRARIES "ssl;crypto;rt;pthread;m;dl")

add_library(Losant::losant INTERFACE IMPORTED GLOBAL)
if(LOSANT_USE_STATIC_LIBS)
    set_target_properties(Losant::losant PROPERTIES INTERFACE_LINK_LIBRARIES Losant::static)
else()
    set_target_properties(Losant::losant PROPERTIES INTERFACE_LINK_LIBRARIES Losant::shared)
endif()
