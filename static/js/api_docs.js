// Starts Swagger UI. It lies in a file of its own because the content security policy allows no inline script.
const place = document.getElementById("swagger-ui");
window.SwaggerUIBundle({ url: place.dataset.openapi, domNode: place, deepLinking: true, validatorUrl: null });
