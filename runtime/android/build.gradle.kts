plugins {
    alias(libs.plugins.kotlin.jvm) apply false
    alias(libs.plugins.android.library) apply false
}

allprojects {
    group = "com.edgebert"
    version = "0.1.0"
}
