//! The bundled `dhow/hello` image.
